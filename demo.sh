#!/bin/sh
# The complete pipeline on embedded data and models: no hub, no GPU, no key. Prints each command before running it.
# QUESTIONS is the number of training questions of the second part, of 240.
set -eu
QUESTIONS=${QUESTIONS:-40}
export TINYLLM_DB=demo/tinyllm.db
mkdir -p demo

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

started=$(date +%s)
echo "1. A positive control: if training works, an effect must appear here. Four people flip a coin or do not; the"
echo "student is a small T5 without any training. One teacher explains the first two turns, another one the last two."
run tinyllm import --procedural coin-flip --size 4 --train 3200 --valid 0 --test 400
run python examples/small_student.py demo/small-t5
train() {
    run tinyllm distill --dataset coin-flip --student demo/small-t5 --target rationale-first --max-steps 400 \
        --batch-size 32 --lr 1e-3 --max-target 96 --alpha "$@"
    run tinyllm eval --scoring explain
}
train 0
train first-half=1
train second-half=1
train first-half=1,second-half=1
train first-half=1,second-half=1 --shuffle-rationales
train one-in-ten-wrong=1

echo
echo "2. Language models: SmolLM2-135M explains the answers of commonsense questions, beside a recorded human teacher,"
echo "and another SmolLM2 learns from both. With $QUESTIONS questions this shows how the tool works, not how well."
run tinyllm elicit --teacher expert --dataset everyday
run tinyllm elicit --teacher smollm2 --dataset everyday --limit "$QUESTIONS" --icl 1 --max-tokens 48
run tinyllm eval --model smollm2 --dataset everyday --scoring rank
for alpha in 0 expert=1,smollm2=0.5; do
    run tinyllm distill --alpha "$alpha" --dataset everyday --student smollm2 --limit "$QUESTIONS" --recipe quick
    run tinyllm eval --scoring rank
done

run tinyllm report --html demo/report.html
echo
echo "Done in $((($(date +%s) - started) / 60)) minutes. Open demo/report.html in a browser."
