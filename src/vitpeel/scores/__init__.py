"""What a caption is worth: against the references, against another caption, and how sure that is.

`references` scores against what people wrote (CIDEr, BLEU-4, ROUGE-L), `bertscore` against another caption
of the same picture, `bootstrap` turns scores of single pictures into a layer's figure with its interval.
"""
