"""Does a description become more concrete, layer by layer? (Section 4.4, Figures 4 and 5.)

Every layer's description of a picture is scored by four criteria, each 1, 3 or 5. Two judges do it:

- `rubric`: offline. The criteria computed from the description, the references and the demo's word hierarchy.
  No language model takes part in it, and it must never be shown as GPT-4V's opinion.
- `openai_judge`: a vision-language model of OpenAI's API is shown the picture and the prompt of Figure 4.

Both return a `scores` table with the metrics `criteria.METRICS`, and both say in `origin` who judged.
"""
