#!/bin/sh
# Trains all five systems on the same crops and writes the report: a fair small-scale comparison and no more.
#
#     experiments/compare/run.sh WORKDIR
#
# About an hour on two cores. The same command again goes on where it was interrupted; the report is in WORKDIR/report.
set -eu
workdir=$1
tfdeblur=${TFDEBLUR:-tfdeblur}

train() { # NAME CONFIG STEPS [FLAGS]
    name=$1 config=$2 steps=$3
    shift 3
    echo "== $name"
    $tfdeblur train --config "$config" --workdir "$workdir/$name" --cache_dir "$workdir/cache" --precision float32 \
        --config.batch_size=4 --config.augmentation=flips --config.steps="$steps" --config.checkpoint_every=200 \
        --config.log_every=10 --config.image_every=200 "$@"
}

train madn madn/demo 1200 --config.widths='(16, 32, 64)'
train two_way two_way/embedded 1200
train improved_deblurgan improved_deblurgan/embedded 1200 --config.constant_steps=600 --config.critic_batches=same
train structures_guided structures_guided/embedded 1200 --config.constant_steps=600
train mprnet egnet/embedded:base 600
train egnet egnet/embedded:egn 600 --config.base="$workdir/mprnet"

$tfdeblur report "$workdir/madn" "$workdir/improved_deblurgan" "$workdir/two_way" "$workdir/structures_guided" \
    "$workdir/egnet" --out "$workdir/report"
