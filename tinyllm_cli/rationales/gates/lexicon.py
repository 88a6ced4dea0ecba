"""Word lists of the gates."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOPWORDS = _words(
    """
    a about after all also an and any are as at be because been before being but by can could did do does each
    for from had has have he her his how i if in into is it its itself let like may might more most must no nor
    not now of off on one only or other our out over she should since so some such than that the their them then
    there therefore these they this those through thus to too under up upon us very was we were what when where
    whether which while who whom whose why will with within without would you your
    """
)
"""English function words, without a meaning of their own."""

TELLING = _words(
    """
    about after all and any are at be because been before being but by can could did does each for from had has
    have he his how if into is it its itself let like may might more most must nor not now of off one only or
    other our out over she should since some such than that the their them then there therefore these they this
    those through thus to too under up upon us very we were what when where whether which while who whom whose
    why with within without would you your
    """
)
"""Those that are not words of another language as well."""

ELSEWHERE = _words(
    """
    der das und ist nicht ein eine einen wir uns sie es zu dem mit auf von im wird werden sind auch oder wenn
    wie le les une un est et que qui dans pas il elle nous vous des du au el los las y en por para del una es al
    lo se um uma os che di gli sono per non het een van niet jest nie jak czy na
    """
)
"""Function words of other languages that are not English words."""

FILLER = _words(
    """
    answer answers correct right wrong best option options choice choices reason question example statement
    following likely most main true given above therefore thus hence conclude called know known considered say
    means type kind thing things something someone anything place word sense closest use used way cause make
    makes made found find done get see process explanation solution rationale step look happen amount doing go addition
    help require describe remaining left eliminate assume first second third fourth firstly secondly thirdly
    """
)
"""Words of any rationale, independent of the question."""

SLIGHT = _words(
    """
    a also an and are as be because been being can could did do does had has have he hence her his i is it its may
    might now our she should since so such that the their them then there therefore these they this those thus us very
    was we were what when which while who will would you your
    """
)
"""Words without which a sentence has the same meaning."""

REFERRING = _words("this these those she her hers he him his it its they their them")
"""They refer to something said before."""

UNENDING = _words(
    """
    a an the of to in on at by for from with and or but is are was were be been has have had that this these
    those it its their his her which who whose because so if as than then not will would can could may might
    must should do does into over under between about your our my i you we they he she
    """
)
"""Words that end no sentence."""

VERBS = _words(
    """
    is are was were be has have had can could will would may might must should does do did means makes needs
    gets gives causes helps uses eats lives grows becomes contains
    """
)
"""Frequent finite verbs."""
