"""English words with several unrelated or clearly different meanings, to see how anchors cope with them.

A word such as *bear* or *bank* has contexts of several kinds, so its vectors should lie farther from their anchor than
those of other words. `geometry` compares the two. The words are in lower case and stand in their order of code points;
most are homonyms in the strict sense (*bat*, *seal*), some are homographs that also sound different (*lead*, *tear*),
and some have drifted so far apart that a dictionary of another language needs several words (*spring*, *crane*).

Source: Schuster et al. (2019), section 3.1, took such a list from an encyclopaedia. This one is our own.
"""

_WORDS = """
angle arm ash back ball band bank bar bark base bass bat batter bay beam bear bill bit blow blue bluff boil bolt
bound bow bowl box brake bridge buckle bug can cape capital cast cell chair change charm chest chip chord clip
close club coach coast cold compact content contract cool corn count counter court crane cricket crop cross crow
current date dear deck desert die digest does down draft draw duck dust ear egg entrance even fair fall fan fast
figure file fine firm flat fleet fly foil foot found game grave ground hail hamper hatch hide host iron jam jar
kind kite lap last lead leaf lean left letter lie light like line litter live lock log long lot mace march mass
mat match mean might mine minute miss mole mould nail novel object odd organ page palm park part party patient pen
pitch plain plane plant plot point poker pole pool port post pound present press project prune punch pupil quarry
race racket rare rash ray record refuse rest right ring rock root rose row ruler sack saw scale school seal season
second sentence set shed ship shot sink skip slip sole sound spade spell spoke spring spruce squash stable stage
stalk staple star stern stick story strain strike suit swallow table tank tap tear temple tend term tie till tip
tire toast toll top train trip trunk type utter vault volume wake watch wave well will wind wound yard
"""

ENGLISH_HOMONYMS: tuple[str, ...] = tuple(_WORDS.split())
"""About 250 words, as many as in the paper's list."""
