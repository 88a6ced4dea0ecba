#!/bin/sh
# The complete pipeline on embedded data and models: no hub, no GPU, no key. Prints each command before running it.
# QUESTIONS is the number of training questions: 100 of the 240 take about ten minutes on two cores.
set -eu
QUESTIONS=${QUESTIONS:-100}
export TINYLLM_DB=demo/tinyllm.db
mkdir -p demo

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

started=$(date +%s)
echo "Two teachers: 'expert' is a recorded human, 'smollm2' a small model that explains the answers it is given."
run tinyllm elicit --teacher expert --dataset everyday
run tinyllm elicit --teacher smollm2 --dataset everyday --limit "$QUESTIONS" --icl 1 --max-tokens 48

echo
echo "The student is SmolLM2-135M too: first untrained, then trained on answers only, with each teacher, and with both."
run tinyllm eval --model smollm2 --dataset everyday --scoring rank
for alpha in 0 expert=1 smollm2=1 expert=1,smollm2=0.5; do
    run tinyllm distill --alpha "$alpha" --dataset everyday --student smollm2 --limit "$QUESTIONS" --evals-per-epoch 1
    run tinyllm eval --scoring rank
done

run tinyllm report --html demo/report.html
echo
echo "Done in $((($(date +%s) - started) / 60)) minutes. Open demo/report.html in a browser."
