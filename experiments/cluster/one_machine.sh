#!/bin/sh
# All GPUs of this machine, started again when killed:
#     sh experiments/cluster/one_machine.sh --config madn/gopro --workdir runs/madn --data_dir data/gopro
exec tfdeblur supervise -- train --strategy mirrored "$@"
