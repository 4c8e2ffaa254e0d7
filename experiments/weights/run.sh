#!/bin/sh
# Trains the weights that ship and keeps their held-out curve; the same command again resumes.
#
#     experiments/weights/run.sh DATA GOPRO WORKDIR [FLAG...]
#
# DATA: what data.sh made. GOPRO: a GOPRO tree whose test split is scored every 15 minutes (MINUTES=15) and when the
# training ends; a line is appended to WORKDIR/held_out.csv, whose cpu_seconds count from the last start. Stop it with
# `kill $(cat WORKDIR/pid)`: the training finishes its step, writes a checkpoint and stops. What it says goes to
# WORKDIR/train.log. FLAGs go to `tfdeblur train`.
set -eu
data=$1 gopro=$2 workdir=$3
shift 3
tfdeblur=${TFDEBLUR:-tfdeblur} minutes=${MINUTES:-15}
curve=$workdir/held_out.csv
mkdir -p "$workdir"
echo $$ >"$workdir/pid"

$tfdeblur train --config "${CONFIG:-weights/two_way_half}" --workdir "$workdir" --blur_dir "$data/pairs/blur" \
    --sharp_dir "$data/pairs/sharp" --photographs_dir "$data/photographs" "$@" >>"$workdir/train.log" 2>&1 &
training=$!
trap 'kill "$training" 2>/dev/null || true' TERM INT

score() { # CPU seconds of the training
    steps=$(find "$workdir/checkpoints" -maxdepth 1 -name 'ckpt-*.index' 2>/dev/null | sed 's/.*ckpt-//; s/\.index//')
    step=$(echo "$steps" | sort -n | tail -n 1)
    [ -n "$step" ] || return 0
    ! grep -q "^[^,]*,$step," "$curve" 2>/dev/null || return 0
    $tfdeblur evaluate --model "$workdir/checkpoints/ckpt-$step" --weights average --gopro_dir "$gopro" \
        --protocol psnr,ssim --out "$workdir/held_out.json" >"$workdir/held_out.log" 2>&1 || return 0
    [ -s "$curve" ] || echo "utc,step,cpu_seconds,psnr,ssim,blurred_psnr,blurred_ssim" >"$curve"
    # results.json: "metrics": {"psnr", "ssim"}, then "blurred" with the same names; sequences come later
    scores=$(sed -n 's/^    "\(psnr\|ssim\)": \([-0-9.e]*\),*$/\2/p' "$workdir/held_out.json" | head -n 4 | paste -sd, -)
    echo "$(date -u +%FT%TZ),$step,$1,$scores" >>"$curve"
}

waited=0
while kill -0 "$training" 2>/dev/null; do
    sleep 10
    waited=$((waited + 10))
    if [ $waited -ge $((60 * minutes)) ]; then
        waited=0
        score "$(ps -o cputimes= -p "$training" | tr -d ' ')"
    fi
done
status=0
wait "$training" || status=$?
score ""
exit $status
