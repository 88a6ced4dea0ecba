#!/bin/sh
# Two procedural families and a student, by default the pretrained SmolLM2-135M: what each teacher alone, several, and
# shuffled rationales teach it, by target. Data where an effect must appear if the machinery works; docs/results.md has
# what it gave. It takes hours on a CPU. The same command resumes: finished runs are not repeated. Two can run at
# once, each with one of the FAMILIES.
#
# FAMILIES and SEEDS are lists, ARMS is core, targets, extra or several of these, QUESTIONS the training questions of a family,
# TEST its test questions, STEPS, BATCH and LR the optimizer steps of a run, their questions and the learning rate. With the
# STUDENT of examples/small_student.py, which starts untrained, a run takes a minute:
#   python examples/small_student.py small-t5 coin-flip 4
#   STUDENT=small-t5 FAMILIES=coin-flip SEEDS="0 1 2" QUESTIONS=3200 STEPS=400 BATCH=32 LR=1e-3 ./showcase.sh
set -eu
FAMILIES=${FAMILIES:-coin-flip last-letters}
SEEDS=${SEEDS:-0}
ARMS=${ARMS:-core targets extra}
STUDENT=${STUDENT:-smollm2}
QUESTIONS=${QUESTIONS:-256}
TEST=${TEST:-500}
STEPS=${STEPS:-32}
BATCH=${BATCH:-8}
LR=${LR:-3e-4}
export TINYLLM_DB="${TINYLLM_DB:-showcase/tinyllm.db}"
mkdir -p "$(dirname "$TINYLLM_DB")"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# train SCORING ALPHA OPTIONS...: one run of the family with the seed, and its accuracy on test.
train() {
    scoring=$1
    shift
    set -- --dataset "$family" --student "$STUDENT" --seed "$seed" --max-steps "$STEPS" --batch-size "$BATCH" --lr "$LR" \
        --warmup-ratio 0.1 --max-target 160 --patience 0 --alpha "$@"
    printf '\n$ %s\n' "tinyllm distill $*"
    id=$(tinyllm distill "$@" --json | python -c 'import json, sys; print(json.load(sys.stdin)["run"])')
    run tinyllm eval --run "$id" --scoring "$scoring"
}

core() {
    train explain 0
    train explain first-half=1,second-half=1 --target rationale-first
    train explain first-half=1 --target rationale-first
    train explain second-half=1 --target rationale-first
    train explain first-half=1,second-half=1 --target rationale-first --shuffle-rationales
}

targets() {
    train rank 0
    train rank first-half=1,second-half=1 --target answer-first
    train rank first-half=1,second-half=1 --target multitask
}

extra() {
    train rank first-half=1 --target answer-first
    train rank first-half=1 --target multitask
    train explain stepwise=1 --target rationale-first
    train explain one-in-ten-wrong=1 --target rationale-first
    train explain one-in-ten-wrong=1 --target rationale-first --no-gates
    train explain first-half=1,second-half=1,stepwise=1 --target rationale-first
}

for family in $FAMILIES; do
    run tinyllm import --procedural "$family" --size 4 --train "$QUESTIONS" --valid 0 --test "$TEST"
done
for arms in $ARMS; do
    for seed in $SEEDS; do
        for family in $FAMILIES; do
            "$arms"
        done
    done
done
run tinyllm report --html "$(dirname "$TINYLLM_DB")/report.html"
