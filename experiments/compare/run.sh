#!/bin/sh
# Trains all five systems on the same crops and writes the report: a fair small-scale comparison and no more.
#
#     experiments/compare/run.sh WORKDIR
#
# About an hour on two cores. The same command again goes on where it was interrupted; the report is in WORKDIR/report.
set -eu
workdir=$1
tfdeblur=${TFDEBLUR:-tfdeblur}

train() { # NAME CONFIG [FLAGS]
    name=$1 config=$2
    shift 2
    echo "== $name"
    $tfdeblur train --config "compare/$config" --workdir "$workdir/$name" --cache_dir "$workdir/cache" \
        --precision float32 "$@"
}

train madn madn
train two_way two_way
train improved_deblurgan improved_deblurgan
train structures_guided structures_guided
train mprnet egnet:base
train egnet egnet --config.base="$workdir/mprnet"

$tfdeblur report "$workdir/madn" "$workdir/improved_deblurgan" "$workdir/two_way" "$workdir/structures_guided" \
    "$workdir/egnet" --out "$workdir/report"
