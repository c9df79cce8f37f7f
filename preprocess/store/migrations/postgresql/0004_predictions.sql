-- The key begins with the stock; an evening's predictions are asked for by day and version.
CREATE INDEX daily_predictions_by_day ON daily_predictions (prediction_date, model_version);
