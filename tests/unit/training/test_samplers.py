"""The order of training: by seed and epoch alone; random steps for LLMs, steps of one length for
classifiers.
"""

import statistics

import pytest
import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from bioner.training.samplers import EpochSampler, pad_to_full_batches, random_steps


@pytest.mark.parametrize("kind", [random_steps, get_length_grouped_indices])
def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone(kind):
    lengths = [number % 17 + 1 for number in range(203)]

    def order(seed: int, epoch: int, fillers: int = 0) -> list[int]:
        sampler = EpochSampler(lengths, 16, seed, kind, fillers)
        sampler.set_epoch(epoch)
        torch.rand(3)  # what else is drawn does not matter
        assert len(list(sampler)) == len(sampler)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    assert sorted(order(1, 0)) == list(range(203))
    assert order(1, 0, fillers=5) == [*order(1, 0), 203, 204, 205, 206, 207]


def test_steps_are_random_and_the_passes_of_a_step_of_similar_length():
    lengths = [number % 17 + 1 for number in range(1600)]
    order = [lengths[number] for number in EpochSampler(lengths, 16, 1, random_steps)]
    steps = [order[start : start + 16] for start in range(0, 1600, 16)]
    assert all(step == sorted(step, reverse=True) for step in steps)
    means = [sum(step) / 16 for step in steps]
    assert 0.9 < statistics.pstdev(means) < 1.6, "of 16 drawn at random from 1 to 17: 4.9 / 4"
    padded = sum(max(step[start : start + 4]) * 4 for step in steps for start in range(0, 16, 4))
    assert padded < 1.25 * sum(order), "in passes of four that are random themselves: 1.5 times"


def test_steps_by_length_hardly_need_padding():
    lengths = [number % 17 + 1 for number in range(200)]
    order = list(EpochSampler(lengths, 4, 1, get_length_grouped_indices))
    padded = sum(
        max(lengths[i] for i in order[start : start + 4]) * 4 for start in range(0, 200, 4)
    )
    assert padded < 1.2 * sum(lengths), "at random it is 1.5 times"


def test_examples_without_labels_make_batches_go_round_in_several_processes_alone():
    examples = [{"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [-100, 6, 7]}] * 5
    filler = {"input_ids": [5, 6], "attention_mask": [1, 1], "labels": [-100, -100]}
    assert pad_to_full_batches(examples, 4, 1) == examples
    assert pad_to_full_batches(examples, 2, 2) == [*examples, filler, filler, filler]
    assert pad_to_full_batches(examples[:4], 2, 2) == examples[:4]
    short = [{"input_ids": [5], "attention_mask": [1], "labels": [6]}]
    assert pad_to_full_batches(short, 1, 2) == [
        *short,
        {"input_ids": [5], "attention_mask": [1], "labels": [-100]},
    ]
