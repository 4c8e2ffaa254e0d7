#!/bin/sh
# The training data of the weights that ship: OUT/pairs/{blur,sharp} and OUT/photographs; and pairs to report on:
# OUT/left_out/{blur,sharp}, two scenes of REDS.
#
#     experiments/weights/data.sh MATERIAL OUT
#
# MATERIAL holds, all of it CC BY 4.0 or unrestricted:
#     gopro_mini/train/<sequence>/{blur,sharp}   pairs of GoPro (Nah, Kim, Lee)
#     reds_mini/{blur,sharp}                     pairs of REDS (Nah et al.), <scene>_<frame>.png
#     sequence/gopro_*/                          consecutive sharp frames of GoPro
#     sequence/reds_crf.npy                      REDS' camera response
#     sharp/kodak24/                             Kodak's photographs
# and scikit-image's wheel the embedded photographs (the training ones of tfdeblur.data.photographs).
# The same command again goes on.
set -eu
material=$1 out=$2
left_out="test002 train001"
tfdeblur=${TFDEBLUR:-tfdeblur} python=${PYTHON:-python3}
pairs=$out/pairs
mkdir -p "$pairs/blur" "$pairs/sharp" "$out/left_out/blur" "$out/left_out/sharp" "$out/photographs"

pair() { # name of the pair's folder, blurred, sharp
    mkdir -p "$pairs/blur/$1" "$pairs/sharp/$1"
    cp "$2" "$pairs/blur/$1/"
    cp "$3" "$pairs/sharp/$1/"
}

for blurred in "$material"/gopro_mini/train/*/blur/*.png; do
    sequence=$(dirname "$(dirname "$blurred")")
    pair "$(basename "$sequence")" "$blurred" "$sequence/sharp/$(basename "$blurred")"
done
for blurred in "$material"/reds_mini/blur/*.png; do
    name=$(basename "$blurred")
    sharp=$material/reds_mini/sharp/$name
    case " $left_out " in
        *" ${name%%_*} "*) cp "$blurred" "$out/left_out/blur/" && cp "$sharp" "$out/left_out/sharp/" ;;
        *) pair reds "$blurred" "$sharp" ;;
    esac
done
# Sharp pictures among the pairs, too: what is not blurred is to come back as it is.
for sharp in "$material"/sharp/kodak24/*.png; do
    pair kodak_sharp "$sharp" "$sharp"
done

average() { # frames, response, name, further flags
    for sequence in "$material"/sequence/gopro_*/; do
        frames=$(find "$sequence" -name '*.png' | wc -l)
        [ "${1##*..}" -le "$frames" ] || continue
        name=$(basename "$sequence")_$3
        [ -d "$out/averaged/train/$name" ] || # shellcheck disable=SC2086
            $tfdeblur synthesize "$sequence" --out "$out/averaged" --sequence "$name" --frames "$1" --crf "$2" $4
        for blurred in "$out/averaged/train/$name"/blur*/*.png; do
            pair "$name" "$blurred" "$out/averaged/train/$name/sharp/$(basename "$blurred")"
        done
    done
}
# Every window with the response of GoPro's cameras; some as GoPro's linear set and as REDS, whose windows differ.
for length in 5 6 7 8 9 10 11 12 13 14 15; do
    average $length gamma2.2 "gamma_$length" ""
done
for seed in 1 2; do
    average 5..15 linear "linear_$seed" "--seed $seed"
done
for seed in 3 4; do
    average 5..15 "$material/sequence/reds_crf.npy" "reds_crf_$seed" "--seed $seed"
done

# Sharp photographs: neighbouring frames show the same, so of them only some.
some() { # every n-th of the files, prefix
    step=$1 prefix=$2 number=0
    shift 2
    for file in "$@"; do
        [ $((number % step)) -ne 0 ] || cp "$file" "$out/photographs/${prefix}_$(basename "$file")"
        number=$((number + 1))
    done
}
some 1 kodak "$material"/sharp/kodak24/*.png
for sequence in "$material"/sequence/gopro_*/; do
    some 6 "$(basename "$sequence")" "$sequence"*.png
done
for sequence in "$material"/gopro_mini/train/*/; do
    some 3 "$(basename "$sequence")" "$sequence"sharp/*.png
done
some 5 reds "$pairs"/sharp/reds/*.png
$python - "$out/photographs" <<'END'
import sys

from tfdeblur.data.images import write_image
from tfdeblur.data.photographs import TRAIN, photograph

for name in TRAIN:
    write_image(f"{sys.argv[1]}/embedded_{name.split('.')[0]}.png", photograph(name))
END
