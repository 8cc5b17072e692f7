"""The contract, on every brain in MODELS, and the equations of the parts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lab.config import BRAINS, ConfigError
from lab.models import MODELS, VOCABULARY, add_memory, build, count_parameters
from lab.models.blocks import ConvLinear, _SquaredReLU, rms_norm, scale_to
from lab.models.checkpoint import load_brain, save_brain
from lab.models.contract import Brain, choose_rows, widen
from lab.models.delta import DeltaState, SelfModifying
from lab.models.memory import ProductKeyMemory, memory_of, weighted_sum
from lab.models.sampling import complete, likely_endings, stream_tokens

SMALL: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2}
KINDS = [*MODELS, *(f"{name} with memory" for name in MODELS)]


def grown(name: str, **options: Any) -> Brain:
    """A small brain in fp64 whose every weight is at work (fresh ones start with zeros)."""
    model, _, memory = name.partition(" with ")
    slots = {"memory_slots": 64} if memory else {}
    brain = build(model, BRAINS[model](**{**SMALL, **slots, **options})).double()
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
    return brain


def some_tokens(rows: int = 3, length: int = 75) -> Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", KINDS)
def test_a_brain_never_sees_the_future(name: str) -> None:
    """Changing byte t changes no logit before t, and does change the one at t."""
    brain, tokens = grown(name), some_tokens()
    before = brain(tokens)[0]
    for t in (0, 1, 31, 32, 33, 74):
        other = tokens.clone()
        other[:, t] = (other[:, t] + 1) % 256
        after = brain(other)[0]
        assert torch.equal(before[:, :t], after[:, :t])
        assert not torch.allclose(before[:, t], after[:, t])


@pytest.mark.parametrize("name", KINDS)
def test_a_row_never_sees_another_row(name: str) -> None:
    """A row's logits are the same alone, among others, and among other others."""
    brain, tokens = grown(name), some_tokens()
    together = brain(tokens)[0]
    other = tokens.clone()
    other[0] = 7
    torch.testing.assert_close(brain(other)[0][1:], together[1:], rtol=0, atol=1e-12)
    torch.testing.assert_close(brain(tokens[1:2])[0][0], together[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("cuts", [(1,) * 75, (40, 35), (32, 32, 11), (5, 1, 30, 1, 38)])
def test_whole_equals_pieces_equals_byte_by_byte(name: str, cuts: tuple[int, ...]) -> None:
    """The state carries everything."""
    brain, tokens = grown(name), some_tokens()
    pieces, state = [], None
    for part in tokens.split(cuts, 1):
        logits, state = brain(part, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, 1), brain(tokens)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_many_rows_go_on_from_one_state(name: str) -> None:
    """What was read once is not read again for each way to go on; and the state itself stays as it was."""
    brain, read, further = grown(name), some_tokens(1), some_tokens(4, 20)
    _, state = brain(read)
    together = brain(further, widen(state, 4))[0]
    for row, logits in zip(further, together, strict=True):
        torch.testing.assert_close(brain(torch.cat((read, row[None]), 1))[0][0, 75:], logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(brain(further[:1], state)[0][0], together[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("length", [31, 32, 33])
def test_rows_that_were_chosen_go_on_by_themselves(name: str, length: int) -> None:
    """As they would among all others, in the order chosen; and those left behind still can."""
    brain, read, further = grown(name), some_tokens(4)[:, :length], some_tokens(4, 20)
    _, state = brain(read)
    chosen = brain(further[[3, 1]], choose_rows(state, [3, 1], 4))[0]
    torch.testing.assert_close(chosen, brain(further, state)[0][[3, 1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_side_by_side_is_what_is_written_alone(name: str) -> None:
    """Of prompts that are alike or of other lengths, and of which some end long before others."""
    brain = grown(name)
    prompts = [[7, 8, 9], [7, 8, 9], [1, 2], [4, 4, 4, 4, 4, 4], [200, 100]]
    stop = complete(brain, [[7, 8, 9]], 9, stop=-1)[0].tokens[4]
    assert stop not in complete(brain, [[1, 2]], 9, stop=-1)[0].tokens[:4]
    for some in (prompts, prompts[:2]):
        for prompt, one in zip(some, complete(brain, some, 30, stop=stop), strict=True):
            (alone,) = complete(brain, [prompt], 30, stop=stop)
            assert (one.tokens, one.ended) == (alone.tokens, alone.ended)
            assert one.log_probability == pytest.approx(alone.log_probability)


@pytest.mark.parametrize("name", KINDS)
def test_drawn_rows_part_and_each_goes_on_from_its_own_text(name: str) -> None:
    """Rows that begin alike and are drawn apart, early or late, are as likely as a pass over each text says."""
    brain, generator = grown(name), torch.Generator().manual_seed(3)
    for temperature in (0.05, 0.3, 1.0):
        drawn = complete(brain, [[7, 8, 9]] * 12, 20, stop=5, temperature=temperature, generator=generator)
        for one in drawn:
            tokens = torch.tensor([[7, 8, 9, *one.tokens, *([5] if one.ended else [])]])
            sure = brain(tokens[:, :-1])[0].log_softmax(-1)[0, 2:].gather(1, tokens[0, 3:, None])
            assert one.log_probability == pytest.approx(float(sure.detach().sum()), rel=1e-3)
    assert len({tuple(one.tokens) for one in drawn}) > 6


@pytest.mark.parametrize("name", KINDS)
def test_every_ending_that_is_likely_enough_is_found(name: str) -> None:
    """All of up to one token, as trying each token says; and of longer ones those that a lower bound finds and no others."""
    brain = grown(name)
    stop = int(brain(torch.tensor([[7, 8, 9]]))[0][0, -1].argsort(descending=True)[3])
    sure = brain(torch.tensor([[7, 8, 9, token] for token in range(VOCABULARY)]))[0].log_softmax(-1).detach()
    each: dict[tuple[int, ...], float] = {(): float(sure[0, 2, stop])}
    each |= {
        (token,): float(sure[token, 2, token] + sure[token, 3, stop]) for token in range(VOCABULARY) if token != stop
    }
    bound = sum(sorted(each.values())[-21:-19]) / 2
    found = {tuple(w): p for w, p in likely_endings(brain, [7, 8, 9], 1, stop=stop, at_least=math.exp(bound))}
    assert found == pytest.approx({tokens: p for tokens, p in each.items() if p >= bound}, rel=1e-3)
    assert len(found) == 20

    longer = [likely_endings(brain, [7, 8, 9], 4, stop=stop, at_least=math.exp(bound) / k) for k in (1, 3)]
    few, many = ({tuple(tokens): p for tokens, p in some} for some in longer)
    assert few == pytest.approx({tokens: p for tokens, p in many.items() if p >= bound}, rel=1e-3)
    assert len(few) < len(many)
    for tokens, likely in many.items():
        read = torch.tensor([[7, 8, 9, *tokens, stop]])
        told = brain(read[:, :-1])[0].log_softmax(-1)[0, 2:].gather(1, read[0, 3:, None]).sum()
        assert likely == pytest.approx(float(told.detach()), rel=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_a_state_can_be_gone_back_to(name: str) -> None:
    """Thinking on from a kept state twice, differently, disturbs neither."""
    brain, tokens = grown(name), some_tokens()
    _, state = brain(tokens[:, :50])
    first = brain(tokens[:, 50:], state)[0]
    brain(tokens[:, :20], state)
    torch.testing.assert_close(brain(tokens[:, 50:], state)[0], first, rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_brain_learns_to_repeat_a_rhyme(name: str) -> None:
    """Forty steps of AdamW on one sentence bring its loss from 5.5 nats below 0.5."""
    brain = build(name, BRAINS[name](width=32, layers=1, heads=2))
    tokens = torch.tensor([list(b"the cat sat on the mat, the cat sat on the mat.")])
    adam = torch.optim.AdamW(brain.parameters(), lr=0.02)
    for _ in range(40):
        loss = F.cross_entropy(brain(tokens[:, :-1])[0].flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        adam.step()
        adam.zero_grad()
    assert float(loss.detach()) < 0.5


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_brain_thinks_the_same(name: str, tmp_path: Any) -> None:
    """Weights and config go through safetensors and JSON unchanged."""
    brain, tokens = build(name, BRAINS[name](**SMALL), seed=3), some_tokens()
    save_brain(tmp_path, name, brain)
    found, loaded = load_brain(tmp_path)
    assert found == name and loaded.config == brain.config
    assert torch.equal(loaded(tokens)[0], brain(tokens)[0])


def test_a_damaged_brain_is_refused_in_one_sentence(tmp_path: Any) -> None:
    """A cut weights file and a missing one."""
    save_brain(tmp_path, "baseline", build("baseline", BRAINS["baseline"](**SMALL)))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="must be whole"):
        load_brain(tmp_path)
    weights.unlink()
    with pytest.raises(ConfigError, match="lacks one"):
        load_brain(tmp_path)


def test_chunked_delta_rule_equals_the_recurrence() -> None:
    """Outputs of the chunked form against a loop over the definition, gate included, to 1e-10 in fp64."""
    torch.manual_seed(0)
    layer = SelfModifying(16, 2, 1, write=0.5, keep=0.97, chunk=8, quantile=0.5).double()
    B, T, H, d = 2, 37, 2, 8
    q, k, v = (torch.randn(B, T, H, d, dtype=torch.float64) for _ in range(3))
    q, k = q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True)
    beta, log_keep = torch.rand(B, T, H, 1).double(), -0.3 * torch.rand(B, T, H, 1).double()
    N = B * H
    low = torch.full((N, 1), 1e-6, dtype=torch.float64)
    state = DeltaState(q.new_zeros(N, d, d), q.new_zeros(N, d, d), low, low[:, :0], None, low[0, 0])
    fast, after = layer._scan((q, k, v, beta, log_keep), state)

    memory, reference = torch.zeros(B, H, d, d).double(), torch.zeros(B, H, d, d).double()  # from values to keys: S
    threshold, errors, opened = torch.full((B, H), 1e-6, dtype=torch.float64), [], 0.0
    for t in range(T):
        surprise = (v[:, t] - torch.einsum("bhvk,bhk->bhv", reference, k[:, t])).norm(dim=-1)
        gate = torch.sigmoid(4 * (surprise / threshold - 1) + 2)
        opened += float(gate.detach().sum())
        b, a = (beta[:, t, :, 0] * gate)[..., None, None], log_keep[:, t, :, 0].exp()[..., None, None]
        key, value = k[:, t][..., None, :], v[:, t][..., None]
        memory = a * memory @ (torch.eye(d).double() - b * key.transpose(-1, -2) @ key) + b * value @ key
        torch.testing.assert_close(fast[:, t], torch.einsum("bhvk,bhk->bhv", memory, q[:, t]), rtol=0, atol=1e-10)
        errors.append(surprise)
        if len(errors) == 8:
            fresh = torch.stack(errors).sort(0).values[4]  # the quantile 0.5 of 8
            threshold = torch.where(threshold == 1e-6, fresh, threshold.lerp(fresh, 0.5))
            errors, reference = [], memory
    assert 0 < opened < N * T and float(after.fired) == pytest.approx(opened / (N * T))


def test_a_higher_quantile_lets_less_be_written() -> None:
    """The surprise gate is real: its setting moves how much of the bytes' change reaches the memory."""
    rates = []
    for quantile in (0.0, 0.5, 0.9):
        brain = grown("qor", surprise_threshold=quantile)
        fired = brain.fire_rate(brain(some_tokens(4, 512))[1])
        assert fired is not None
        rates.append(float(fired.detach()))
    assert rates[0] == 1.0 and rates[0] > rates[1] > rates[2] > 0


@pytest.mark.parametrize("top", [8, 3])
def test_product_keys_find_what_a_search_of_all_slots_finds(top: int) -> None:
    """Output, slots and weights against scores of all 64 slots, with all half-keys as candidates and with few."""
    torch.manual_seed(0)
    layer, x = ProductKeyMemory(16, 64, heads=2, top=top).double(), torch.randn(3, 5, 16, dtype=torch.float64)
    torch.nn.init.normal_(layer.value_rows)
    queries = F.linear(x, layer.queries).view(3, 5, 2, 2, 4)
    queries, keys = rms_norm(queries), rms_norm(layer.half_keys)
    expected = torch.zeros(3, 5, 16, dtype=torch.float64)
    for head in range(2):
        q, (one, two) = queries[:, :, head].flatten(2), keys[head]
        whole = torch.cat((one.repeat_interleave(8, 0), two.repeat(8, 1)), 1)  # (64, 8): slot i · 8 + j has halves i, j
        best = (q @ whole.t() / 8**0.5).topk(top)
        assert torch.equal(layer.choose(x)[0][:, :, head].sort(-1).values, best.indices.sort(-1).values)
        expected += (best.values.softmax(-1)[..., None] * layer.value_rows[best.indices]).sum(2)
    expected = (expected * F.silu(x @ layer.gate.t())) @ layer.out.t()
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    assert layer.read is not None and layer.read.shape == (3, 5, 2, top)


@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_memory_changes_nothing(name: str) -> None:
    """Neither when it is added to a brain, nor in a brain built with it; and all of it belongs to the fast band."""
    brain, tokens = build(name, BRAINS[name](**SMALL), seed=3), some_tokens()
    with torch.no_grad():
        for parameter in brain.parameters():
            parameter += 0.1
    added = add_memory(name, brain, 64)
    assert torch.equal(added(tokens)[0], brain(tokens)[0]) and added.config.memory_slots == 64
    plain, built = build(name, BRAINS[name](**SMALL)), build(name, BRAINS[name](**SMALL, memory_slots=64))
    assert torch.equal(built(tokens)[0], plain(tokens)[0])
    extra = set(built.state_dict()) - set(plain.state_dict())
    assert len(extra) == 5 and all(".1.slots." in key and built.band_of(key) == ("fast", 1) for key in extra)
    with pytest.raises(ConfigError, match="must be added to a brain without; got a brain with 64"):
        add_memory(name, added, 64)
    with pytest.raises(ConfigError, match="memory_slots must be there"):
        memory_of(plain)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_memory_alone_learns_a_rhyme(name: str, precision: torch.dtype) -> None:
    """With all else frozen the layer learns a sentence by heart, also where autocast computes in bf16."""
    brain = build(name, BRAINS[name](width=32, layers=1, heads=2, memory_slots=64))
    with torch.no_grad():
        brain.get_parameter("embedding.weight").mul_(
            30
        )  # as long as a trained one's: a fresh one cannot tell bytes apart
    tokens = torch.tensor([list(b"the cat sat on the mat.")])
    adam = torch.optim.AdamW(memory_of(brain).parameters(), lr=0.03)
    for _ in range(60):
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            logits = brain(tokens[:, :-1])[0]
        loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in memory_of(brain).parameters())
    assert float(loss.detach()) < 2  # of more than 5.5; a block that has learnt nothing else sees little of the past


@pytest.mark.parametrize("name", MODELS)
def test_a_brain_of_before_there_was_memory_still_loads(name: str, tmp_path: Any) -> None:
    """Its config has no memory_slots."""
    brain, tokens = build(name, BRAINS[name](**SMALL), seed=3), some_tokens()
    save_brain(tmp_path, name, brain)
    about = json.loads((tmp_path / "model.json").read_text())
    del about["config"]["memory_slots"]
    (tmp_path / "model.json").write_text(json.dumps(about))
    assert torch.equal(load_brain(tmp_path)[1](tokens)[0], brain(tokens)[0])


def test_hand_written_gradients_are_right() -> None:
    """Norm, unit length, squared ReLU and the weighted sum of rows against finite differences."""
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rms_norm, x)
    assert torch.autograd.gradcheck(lambda y: scale_to(y, 1.0), x)
    assert torch.autograd.gradcheck(_SquaredReLU.apply, x)
    slots = torch.tensor([[0, 2], [2, 2], [4, 0]])
    rows, weights = torch.randn(6, 4, dtype=torch.float64), torch.rand(3, 2, dtype=torch.float64)
    rows.requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(lambda r, w: weighted_sum(r, slots, w), (rows, weights))


def test_the_convolution_starts_as_the_identity() -> None:
    """A fresh ConvLinear is its linear map alone."""
    layer, x = ConvLinear(8, 4, 4), torch.randn(2, 9, 8)
    torch.testing.assert_close(layer(x, None)[0], F.linear(x, layer.weight))


def test_counting_without_weights_equals_counting_them() -> None:
    """And the presets are the sizes that they say."""
    for name in MODELS:
        assert count_parameters(name, build(name).config) == build(name).count_parameters()
    assert build("qor", "tiny").config.width == 128 and build("qor", "tiny").config.layers == 4


def test_prompts_of_different_length_are_written_as_if_alone() -> None:
    """Batched greedy writing equals writing each prompt by itself."""
    brain = grown("qor")
    prompts = [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7], [5, 5, 5, 5, 5]]
    longest, count = 7, 6

    def written(group: list[list[int]]) -> list[list[int]]:
        stream = stream_tokens(brain, group)
        columns = [next(stream) for _ in range(longest - min(map(len, group)) + count)]
        rows = [list(row) for row in zip(*columns, strict=True)]
        skip = [len(prompt) - min(map(len, group)) for prompt in group]
        return [row[s : s + count] for row, s in zip(rows, skip, strict=True)]

    assert written(prompts) == [written([prompt])[0] for prompt in prompts]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("qor", {"width": 30, "heads": 4}, "divisible by heads; got 30 and 4. Try 3"),
        ("qor", {"cms_med_freq": 64, "cms_slow_freq": 16}, r"bands must rise; got \(1, 64, 16\). Try \(1, 16, 64\)"),
        ("qor", {"surprise_threshold": 2.0}, "surprise_threshold must be from 0"),
        ("baseline", {"layers": 0}, "layers must be from 1"),
        ("baseline", {"memory_slots": 50}, "memory_slots must be 0 or a square from 16 up; got 50. Try 49"),
        ("qor", {"memory_slots": 4}, "memory_slots must be 0 or a square from 16 up; got 4. Try 16"),
    ],
)
def test_a_wrong_setting_is_refused_with_rule_value_and_remedy(model: str, options: Any, message: str) -> None:
    """Each in one sentence."""
    with pytest.raises(ConfigError, match=message):
        BRAINS[model](**options)


def test_an_unknown_model_or_preset_is_refused() -> None:
    """With the names there are."""
    with pytest.raises(ConfigError, match="one of qor, baseline"):
        build("gpt5")
    with pytest.raises(ConfigError, match="one of tiny, nano"):
        build("qor", "huge")
