"""What Snakemake recorded of earlier runs."""

import ast

from snakemake.io import IOFile
from snakemake.persistence import PersistenceBase


def recorded(product):
    """The parameters that a file was made with, those that are text, as Snakemake recorded them."""
    values = workflow.persistence.params(IOFile(product)) or []
    return [ast.literal_eval(value) for value in values if value.startswith(("'", '"'))]


def as_object(text):
    """A JSON object from text; empty for any other text, as an earlier version of this workflow may have recorded."""
    try:
        known = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return known if isinstance(known, dict) else {}


def deletions(made_from, product):
    """A parameter that counts how often `made_from` was deleted: each time its job runs again and asks for the file.

    Snakemake alone leaves a missing intermediate file be while what was made from it is there. The count so far stands
    in what Snakemake recorded with `product`.
    """

    def count(wildcards):
        source, result = (
            out(path).format(**wildcards) for path in (made_from, product)
        )
        counts = (
            re.fullmatch(r"deletions: (\d+)", value) for value in recorded(result)
        )
        before = next((int(match[1]) for match in counts if match), 0)
        return f"deletions: {before + (os.path.exists(result) and not os.path.exists(source))}"

    return count


def record_in_the_job():
    """Have a job on a node record itself what it was made with.

    Snakemake leaves that to the process that sent the job. Is that one killed, the job's files are there when it ends, and
    nothing tells that they were made with other settings than those of a later run.
    """
    finished = PersistenceBase.finished

    async def and_recorded(self, job):
        # The condition under which Snakemake has jobs record themselves: when nobody waits for them.
        settings = workflow.remote_execution_settings
        before, settings.immediate_submit = settings.immediate_submit, True
        try:
            await finished(self, job)
        finally:
            settings.immediate_submit = before

    PersistenceBase.finished = and_recorded


if workflow.remote_exec:
    record_in_the_job()
