"""QOR Lab: build, teach and measure small language models that keep learning."""
