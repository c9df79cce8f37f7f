-- announcement_samples is made anew as a whole: nobody asks how far it holds the market.
DROP TABLE derived_marks;
