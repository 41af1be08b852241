#!/usr/bin/env bash
# Everything of archstat that needs a GPU, in one go of at most 9 minutes: what it says of the GPU is
# written down first, then measured, then set side by side.
#
#     scripts/on_gpu.sh FOLDER             all of it, on the first GPU
#     scripts/on_gpu.sh FOLDER --quick     the same with tiny settings, to see that every part runs
#     scripts/on_gpu.sh FOLDER --dry-run   that on the cpu
#
# Each part has a limit of its own and survives the failure of the others. FOLDER gets a log and the
# tables of each part, and parts.csv; the exit code is 0 once all parts had their turn.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
mode=${2:-full}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export XDG_CACHE_HOME=$out/cache ARCHSTAT_STORE=$out/store.jsonl
deadline=$((SECONDS + 535))

models=(vgg16 resnet18 resnet50 densenet121 inception_v3 squeezenet1_1 mobilenet_v1 mobilenet_v2
        mobilenet_v3_large shufflenet_v2_x1_0 efficientnet_b0 vit_b_16)
compiled=(resnet18 mobilenet_v2)
device=cuda local=local-cuda half=fp16 graph=(--cuda-graph) batch=32 blocks=8 bench=20s group=5s sample=50
memory=()
if [[ $mode != full ]]; then
  models=(resnet18 mobilenet_v1) compiled=(resnet18) batch=2 bench=1s group=0.1s sample=0
  memory=(resnet18 lenet5)
fi
if [[ $mode == --dry-run ]]; then
  device=cpu local=local half=bf16 graph=() blocks=1
fi

echo "part,seconds,exit_code" > "$out/parts.csv"
part() { # NAME LIMIT COMMAND...: the command's output in NAME.log, its end in the table of parts
  local name=$1 limit=$2 began=$SECONDS left=$((deadline - SECONDS)) code
  shift 2
  ((limit < left)) || limit=$left
  if ((limit > 0)); then
    timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1 < /dev/null
    code=$?
  else
    code=124 # no time was left
  fi
  echo "$name,$((SECONDS - began)),$code" | tee -a "$out/parts.csv"
}

archstat=(python3 -m archstat)
on=(--device "$device" --batch "$batch")
# What is said before anything is measured; then what matters most first, should time run out.
part said 60 python3 benchmarks/gpu.py said "$out" "${models[@]}" --on "$device" --batch "$batch"
part local 60 "${archstat[@]}" roofline resnet50 --device "$local" --measure -o "$out/local.csv"
part fp32 130 "${archstat[@]}" bench "${models[@]}" "${on[@]}" --budget "$bench" -o "$out/fp32.csv"
part half 130 "${archstat[@]}" bench "${models[@]}" "${on[@]}" --budget "$bench" --dtype "$half" \
  "${graph[@]}" -o "$out/half.csv"
part memory 100 python3 benchmarks/memory.py --device "$device" --seconds "$sample" \
  -o "$out/memory.csv" "${memory[@]}"
for name in g1 g2 g3 g4; do
  part $name 45 "${archstat[@]}" experiment $name --device "$device" --batch "$blocks" \
    --budget "$group" -o "$out/$name.csv"
done
part tests 150 python3 -m pytest -n 0 -q -m cuda tests/measure tests/cli
part channels_last 90 "${archstat[@]}" bench "${models[@]}" "${on[@]}" --budget "$bench" \
  --dtype "$half" --channels-last "${graph[@]}" -o "$out/channels_last.csv"
part compile 90 "${archstat[@]}" bench "${compiled[@]}" "${on[@]}" --budget "$bench" --compile \
  -o "$out/compile.csv"
part compared 30 python3 benchmarks/gpu.py compared "$out"
cat "$out/compared.log"
