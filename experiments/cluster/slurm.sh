#!/bin/sh
# One worker for each node, all its GPUs; the work directory on a file system that all nodes share:
#     sbatch experiments/cluster/slurm.sh --config madn/gopro --workdir /shared/runs/madn --data_dir /shared/gopro
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
# The last line has Slurm send SIGTERM to the tasks 300 s before the time is over: they save, and the next job resumes.
TFDEBLUR_PORT=$((20000 + SLURM_JOB_ID % 20000))
export TFDEBLUR_PORT
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-16}" # since 22.05 srun does not take it over from sbatch
export SLURM_KILL_BAD_EXIT=1                            # an error of one worker that restarting does not mend ends all
# shellcheck disable=SC2016
exec srun sh -c '
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$TFDEBLUR_PORT\"/" | paste -sd, -)
export TF_CONFIG="{\"cluster\": {\"worker\": [$hosts]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
exec tfdeblur supervise -- train --strategy multi_worker "$@"
' worker "$@"
