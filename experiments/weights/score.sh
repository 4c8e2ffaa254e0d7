#!/bin/sh
# Scores a model on pairs that the weights which ship have not seen, and restores photographs without a truth.
#
#     experiments/weights/score.sh MATERIAL DATA OUT [MODEL]
#
# MATERIAL holds what data.sh reads, and
#     gopro_mini/test/<sequence>/{blur,sharp}    GoPro
#     kohler/{blur/<image>_<trajectory>.png,sharp/<image>.jpg}
#     levin/{blur/<image>_<kernel>.png,sharp/<image>.png}, lai/ likewise
#     real_blur/                                 photographs
# DATA is what data.sh made. Writes OUT/<set>.json and .csv, the table OUT/scores.md, and OUT/side_by_side/.
set -eu
material=$1 data=$2 out=$3 model=${4:-two_way_half}
tfdeblur=${TFDEBLUR:-tfdeblur} python=${PYTHON:-python3}
mkdir -p "$out"

for set in kohler levin lai; do # a truth for each blurred picture, under its name
    rm -rf "$out/pairs/$set"
    mkdir -p "$out/pairs/$set/blur" "$out/pairs/$set/sharp"
    for blurred in "$material/$set"/blur/*; do
        name=$(basename "$blurred")
        stem=${name%.*}
        cp "$blurred" "$out/pairs/$set/blur/$name"
        for sharp in "$material/$set/sharp/${stem%_*}".* "$material/$set/sharp/${stem%_kernel*}".*; do
            [ ! -e "$sharp" ] || cp "$sharp" "$out/pairs/$set/sharp/$stem.${sharp##*.}"
        done
    done
done

score() { # set, protocols, DATA
    set=$1 protocols=$2
    shift 2
    echo "== $set"
    $tfdeblur evaluate --model "$model" --protocol "$protocols" --out "$out/$set.json" --csv "$out/$set.csv" "$@"
}
score gopro psnr,ssim,ssim_matlab --gopro_dir "$material/gopro_mini"
score reds psnr,ssim,ssim_matlab --blur_dir "$data/left_out/blur" --sharp_dir "$data/left_out/sharp"
for set in kohler levin lai; do # blurred pictures lie some pixels beside their truth
    score $set kohler --blur_dir "$out/pairs/$set/blur" --sharp_dir "$out/pairs/$set/sharp"
done
score shaken psnr,ssim
$tfdeblur deblur "$material/real_blur" --model "$model" --out "$out/side_by_side" --side_by_side

$python - "$out" >"$out/scores.md" <<'END'
import csv
import sys

print("| set | protocol | pictures | blurred | restored | gain | made worse | by, on average | worst | best |")
print("|---|---|---|---|---|---|---|---|---|---|")
for name in ("gopro", "reds", "kohler", "levin", "lai", "shaken"):
    with open(f"{sys.argv[1]}/{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for protocol in [column for column in rows[0] if f"blurred_{column}" in rows[0]]:
        before, after = ([float(row[key]) for row in rows] for key in (f"blurred_{protocol}", protocol))
        gains = [b - a for a, b in zip(before, after)]
        lost = [gain for gain in gains if gain < 0]
        digits = 4 if "ssim" in protocol else 2
        numbers = [sum(before) / len(rows), sum(after) / len(rows)]
        shown = [f"{number:.{digits}f}" for number in numbers]
        shown += [f"{sum(gains) / len(gains):+.{digits}f}", f"{len(lost)} ({len(lost) / len(rows):.0%})"]
        shown += [f"{sum(lost) / len(lost):+.{digits}f}" if lost else ""]
        shown += [f"{min(gains):+.{digits}f}", f"{max(gains):+.{digits}f}"]
        print(f"| {name} | `{protocol}` | {len(rows)} | {' | '.join(shown)} |")
END
cat "$out/scores.md"
