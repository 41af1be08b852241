#!/usr/bin/env bash
# Everything of archstat that needs a GPU, in one go of at most 9 minutes: what it says of the GPU is
# written down first, then measured, then set side by side.
#
#     scripts/on_gpu.sh FOLDER [--full] [SECONDS]      all of it, on the first GPU; 535 s by default
#     scripts/on_gpu.sh FOLDER --quick [SECONDS]       the same with tiny settings, several parts at
#                                                      once, to see that every part runs; 170 s
#     scripts/on_gpu.sh FOLDER --dry-run [SECONDS]     that on the cpu
#
# Each part has a limit of its own and survives the failure of the others. FOLDER gets the log and
# the tables of each part, and parts.csv; the exit code is 0 once all parts had their turn. What
# matters most comes first, should time run out.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
mode=${2:---full}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export XDG_CACHE_HOME=$out/cache ARCHSTAT_STORE=$out/store.sqlite

models=(vgg16 resnet18 resnet50 densenet121 inception_v3 squeezenet1_1 mobilenet_v1 mobilenet_v2
        mobilenet_v3_large shufflenet_v2_x1_0 efficientnet_b0 vit_b_16)
compiled=(resnet18 mobilenet_v2) experiments=(g1 g2 g3 g4) memory=()
device=cuda local=local-cuda half=fp16 graph=(--cuda-graph)
batch=32 blocks=8 bench=20s group=5s sample=50 at_once=1 workers=() patience=1 seconds=535
case $mode in
  --full) ;;
  --quick)
    compiled=(resnet18) memory=(resnet18 lenet5)
    batch=2 bench=1s group=1s sample=0 at_once=5 workers=(-n 4) seconds=170
    ;;
  --dry-run)
    models=(lenet5 squeezenet1_1) compiled=(lenet5) experiments=(g4) memory=(lenet5)
    device=cpu local=local half=bf16 graph=()
    batch=2 blocks=1 bench=0.1s group=0.1s sample=0 at_once=2 patience=9 seconds=900
    export OMP_NUM_THREADS=1 # threads of several parts at once would wait for each other
    ;;
  *) echo "on_gpu.sh: $mode is none of --full, --quick and --dry-run" >&2; exit 2 ;;
esac
deadline=$((SECONDS + ${3:-$seconds} - 15)) # the rest is for the comparison

echo "part,seconds,exit_code" > "$out/parts.csv"
part() { # NAME LIMIT COMMAND...: as soon as no more than `at_once` run
  while (($(jobs -rp | wc -l) >= at_once)); do wait -n; done
  timed "$@" &
}
timed() { # NAME LIMIT COMMAND...: the command's output in NAME.log, its end in the table of parts
  local name=$1 limit=$(($2 * patience)) began=$SECONDS left=$((deadline - SECONDS))
  local code=124 # no time was left
  shift 2
  ((limit < left)) || limit=$left
  if ((limit > 0)); then
    timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1 < /dev/null
    code=$?
  fi
  echo "$name,$((SECONDS - began)),$code" | tee -a "$out/parts.csv"
}

timeout 600 nvidia-smi --format=csv -l 5 --query-gpu=timestamp,clocks.sm,clocks.mem,power.draw,\
temperature.gpu,utilization.gpu,memory.used,clocks_event_reasons.active > "$out/clocks.csv" 2>&1 &
clocks=$!
disown "$clocks"

gpu=(python3 benchmarks/gpu.py)
archstat=(python3 -m archstat)
on=(--device "$device" --batch "$batch")
part machine 90 "${gpu[@]}" machine "$out" --on "$device"
wait
part said 60 "${gpu[@]}" said "$out" "${models[@]}" --on "$device" --batch "$batch"
wait # nothing is measured before
tests=(part tests 150 python3 -m pytest -o addopts=--import-mode=importlib -p no:cacheprovider
       -W default "${workers[@]}" -v -m cuda --durations 10 tests/measure tests/cli)
[[ $mode == --full ]] || "${tests[@]}" # the longest
part local 60 "${archstat[@]}" roofline resnet50 --device "$local" --measure -o "$out/local.csv"
part rates 30 "${gpu[@]}" rates "$out" --on "$device"
part fp32 120 "${archstat[@]}" bench "${models[@]}" "${on[@]}" --budget "$bench" -o "$out/fp32.csv"
part half 120 "${archstat[@]}" bench "${models[@]}" "${on[@]}" --budget "$bench" --dtype "$half" \
  "${graph[@]}" -o "$out/half.csv"
part memory 90 python3 benchmarks/memory.py "${memory[@]}" --device "$device" --seconds "$sample" \
  -o "$out/memory.csv"
for name in "${experiments[@]}"; do
  part "$name" 60 "${archstat[@]}" experiment "$name" --device "$device" --batch "$blocks" \
    --budget "$group" -o "$out/$name.csv"
done
part channels_last 120 "${archstat[@]}" bench "${models[@]}" "${on[@]}" --budget "$bench" \
  --dtype "$half" --channels-last "${graph[@]}" -o "$out/channels_last.csv"
part layers 45 "${archstat[@]}" bench "${models[1]}" "${on[@]}" --per-layer -o "$out/layers.csv"
part compile 150 "${archstat[@]}" bench "${compiled[@]}" "${on[@]}" --budget "$bench" --compile \
  -o "$out/compile.csv"
[[ $mode != --full ]] || "${tests[@]}"
wait
kill "$clocks" 2> /dev/null
deadline=$((SECONDS + 15))
timed compared 15 "${gpu[@]}" compared "$out"

cat "$out/compared.log"
while IFS=, read -r name _ code; do
  [[ $code =~ ^[1-9] ]] && echo "--- $name ended with $code" && tail -n 8 "$out/$name.log"
done < "$out/parts.csv"
echo
cat "$out/parts.csv"
exit 0
