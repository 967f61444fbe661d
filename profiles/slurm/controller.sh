#!/bin/bash
# Snakemake itself as a Slurm job, where login nodes end long processes:
#   sbatch profiles/slurm/controller.sh [targets and options of snakemake]
# from the folder that the run is to lie in. Before its own time is up it stops its jobs, which keep what they have,
# and queues itself again; `scancel --signal=USR1 --batch JOB` does so at once, `scancel --batch --signal=INT JOB` ends all.
# SITE: a partition for long jobs without GPUs (and --account, --qos where they are needed).
#SBATCH --job-name=bioner-controller
#SBATCH --partition=cpu
#SBATCH --time=1-00:00:00
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --signal=B:USR1@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=bioner-controller-%j.log
set -uo pipefail

# Where the repository is: the job runs a copy of this file. BIONER names another place.
repository=${BIONER:-$SLURM_SUBMIT_DIR}
profile=${BIONER_PROFILE:-$repository/slurm}
# The environment's own folder: this job keeps it when `make` lets .venv link to another.
environment=$(realpath "$repository/.venv")
snakemake=(
    "$environment/bin/snakemake" --profile "$profile"
    --snakefile "$repository/Snakefile" --directory "$SLURM_SUBMIT_DIR"
)

# Queued again after its node was lost it finds its own lock; nobody else's, since nobody else was to start in this folder.
if ((${SLURM_RESTART_COUNT:-0} > 0)); then
    "${snakemake[@]}" "$@" --unlock
fi
"${snakemake[@]}" "$@" &
child=$!
again=
trap 'again=yes; kill -INT $child' USR1
trap 'kill -INT $child' TERM INT
while true; do
    wait $child
    code=$?
    kill -0 $child 2>/dev/null || break
done
if [[ -n $again ]]; then
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60
fi
exit $code
