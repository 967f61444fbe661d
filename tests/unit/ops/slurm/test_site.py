"""What jobs ask of a site's cluster."""

import pytest

from bioner.errors import InputError
from bioner.ops.slurm.site import grown, request, require_partitions, site_of

SITE = site_of(
    {"slurm_partition": "cpu", "gpu_partition": "gpu", "gpu_type": "h100", "gpu_request": "gres"}
)


def test_values_are_read_as_snakemake_reads_them():
    assert site_of({"a": "'min'", "b": "cpu", "c": 2880, "d": "2880", "e": "4000 * attempt"}) == {
        "a": "min",
        "b": "cpu",
        "c": 2880,
        "d": 2880,
        "e": "4000 * attempt",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_runtime": "2d"}, "max_runtime: found '2d'; expected a whole number of minutes"),
        ({"max_mem_mb": "0"}, "max_mem_mb: found 0; expected a whole number of megabytes"),
        ({"max_mem_mb": "True"}, "max_mem_mb: found True"),
        ({"gpu_request": "gers"}, "gpu_request: found 'gers'; expected gres or gpus"),
        ({"gpu_typ": "h100"}, "found 'gpu_typ'; expected gpu_type"),
        ({"max_runtim": "60"}, "found 'max_runtim'; expected max_runtime"),
        ({"gpu_type": "any"}, "gpu_type: found any, which Python evaluates; expected text"),
        ({"slurm_partition": "all"}, "slurm_partition: found all, which Python evaluates"),
        ({"slurm_account": "123-45"}, "slurm_account: found 123-45, which Python evaluates"),
        ({"gpu_partition": ""}, "gpu_partition: found nothing"),
        ({"slurm_partition": None}, "slurm_partition: found nothing"),
        (
            {"gpu_type": "nvidia_a100-sxm4-80gb"},
            "gpu_type: found 'nvidia_a100-sxm4-80gb'; expected letters, digits",
        ),
    ],
)
def test_values_that_make_no_sense_are_told(changes, told):
    with pytest.raises(InputError, match=told):
        site_of({"slurm_partition": "cpu", "gpu_partition": "gpu"} | changes)


@pytest.mark.parametrize("key", ["slurm_partition", "gpu_partition"])
def test_a_profile_with_one_partition_lacks_the_other(key):
    """Without a word GPU jobs would go to the CPU partition, and ask for no GPU."""
    with pytest.raises(
        InputError, match=r"found no (slurm|gpu)_partition; expected the cluster's partition"
    ):
        site_of({key: "main"})
    with pytest.raises(InputError, match="found no slurm_partition"):
        require_partitions({})


@pytest.mark.parametrize(
    "text", ["gpu-long", "a100_80", "'all'", '"any"', "12345", "p1,p2", "min-1"]
)
def test_names_that_snakemake_leaves_alone_are_names(text):
    assert site_of({"slurm_partition": text, "gpu_partition": "gpu"})["gpu_partition"] == "gpu"


def test_outside_slurm_nothing_is_asked_for():
    assert request({}, 2) == {}


def test_gpus_by_gres_or_by_gpus():
    assert request(SITE, 2) == {"slurm_partition": "gpu", "gres": "gpu:h100:2"}
    assert request(SITE | {"gpu_request": "gpus"}, 2) == {
        "slurm_partition": "gpu",
        "gpu": 2,
        "gpu_model": "h100",
    }


def test_any_type():
    site = SITE | {"gpu_type": "any"}
    assert request(site, 1)["gres"] == "gpu:1"
    assert request(site | {"gpu_request": "gpus"}, 1) == {"slurm_partition": "gpu", "gpu": 1}


def test_jobs_without_gpus_keep_off_the_gpu_partition_its_qos_and_constraint():
    site = SITE | {"qos": "normal", "gpu_qos": "gpu", "gpu_constraint": "nvlink"}
    assert request(site, 0) == {"slurm_partition": "cpu", "qos": "normal"}
    assert request(site, 1) == {
        "slurm_partition": "gpu",
        "qos": "gpu",
        "constraint": "nvlink",
        "gres": "gpu:h100:1",
    }


@pytest.mark.parametrize(
    ("attempt", "limit", "asked"),
    [(1, 250, 100), (2, 250, 200), (3, 250, 250), (3, None, 300), (1, 50, 50)],
)
def test_retries_ask_for_more_up_to_what_there_is(attempt, limit, asked):
    assert grown(100, attempt, limit) == asked
