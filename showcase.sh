#!/bin/sh
# Two procedural families with a pretrained student, SmolLM2-135M: what each teacher alone, both, and shuffled rationales
# teach it, by target. About two hours on two cores. The same command resumes: finished runs are not repeated.
# QUESTIONS are the training questions of a family, STEPS the optimizer steps of a run.
set -eu
QUESTIONS=${QUESTIONS:-480}
STEPS=${STEPS:-60}
TEST=${TEST:-500}
export TINYLLM_DB=showcase/tinyllm.db
mkdir -p showcase

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

train() {
    family=$1
    shift
    run tinyllm distill --dataset "$family" --student smollm2 --max-steps "$STEPS" --batch-size 16 --lr 2e-4 \
        --warmup-ratio 0.1 --max-target 128 --patience 0 "$@"
    run tinyllm eval --dataset "$family" --scoring "$SCORING"
}

for family in coin-flip last-letters; do
    run tinyllm import --procedural "$family" --size 4 --train "$QUESTIONS" --valid 0 --test "$TEST"
    SCORING=explain
    train "$family" --alpha 0
    train "$family" --alpha first-half=1 --target rationale-first
    train "$family" --alpha second-half=1 --target rationale-first
    for target in rationale-first answer-first; do
        train "$family" --alpha first-half=1,second-half=1 --target "$target"
    done
    train "$family" --alpha first-half=1,second-half=1 --target rationale-first --shuffle-rationales
    train "$family" --alpha one-in-ten-wrong=1 --target rationale-first
    train "$family" --alpha one-in-ten-wrong=1 --target rationale-first --no-gates
    SCORING=rank # the paper's target answers without writing a rationale
    train "$family" --alpha 0
    train "$family" --alpha first-half=1,second-half=1 --target multitask
done
run tinyllm report --html showcase/report.html
