"""The query behind the table of all runs, here so that the page and the bench ask the same."""

SUMMARY = "SELECT run, status, model, preset, data, step, bpb, loss, tokens_s, elapsed_s, parameters FROM run_summary"
