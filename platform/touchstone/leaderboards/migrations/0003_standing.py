from django.db import migrations, models

#: Direction and interval of the number a board ranks by, turned so that bigger is better.
FILL = """
WITH known AS (
  SELECT e.id, e.sort_key, CASE WHEN b.spec->>'rank_by' = 'trust' THEN 'maximise' ELSE r.direction END AS direction,
    (e.scores->(b.spec->>'rank_by')->>'low')::float8 AS low,
    (e.scores->(b.spec->>'rank_by')->>'high')::float8 AS high
  FROM leaderboards_leaderboardentry e JOIN leaderboards_leaderboard b ON b.id = e.leaderboard_id
  LEFT JOIN evaluations_result r ON r.run_id = e.run_id AND r.key = b.spec->>'rank_by'
  WHERE e.sort_key IS NOT NULL
), turned AS (
  SELECT id, sort_key,
    CASE direction WHEN 'maximise' THEN low WHEN 'minimise' THEN -high WHEN 'zero' THEN -greatest(abs(low), abs(high))
      WHEN 'one' THEN CASE WHEN low > 0 THEN -greatest(abs(ln(low)), abs(ln(high))) ELSE -1.7e308 END END AS low,
    CASE direction WHEN 'maximise' THEN high WHEN 'minimise' THEN -low
      WHEN 'zero' THEN CASE WHEN low <= 0 AND high >= 0 THEN 0 ELSE -least(abs(low), abs(high)) END
      WHEN 'one' THEN CASE WHEN low <= 1 AND high >= 1 THEN 0
        WHEN low > 0 THEN -least(abs(ln(low)), abs(ln(high))) WHEN high > 0 THEN -abs(ln(high)) END END AS high
  FROM known
)
UPDATE leaderboards_leaderboardentry e
SET key_low = least(e.sort_key, COALESCE(t.low, e.sort_key)), key_high = greatest(e.sort_key, COALESCE(t.high, e.sort_key))
FROM turned t WHERE t.id = e.id
"""


class Migration(migrations.Migration):

    dependencies = [('leaderboards', '0002_history_and_snapshots')]

    operations = [
        migrations.AddField(model_name='leaderboardentry', name='key_low', field=models.FloatField(help_text='`sort_key` at the worse end of the interval, or itself.', null=True)),
        migrations.AddField(model_name='leaderboardentry', name='key_high', field=models.FloatField(help_text='`sort_key` at the better end of the interval, or itself.', null=True)),
        migrations.AddIndex(model_name='leaderboardentry', index=models.Index(models.F('leaderboard'), models.OrderBy(models.F('key_low'), descending=True), condition=models.Q(('hidden', False), ('key_low__isnull', False)), name='entry_low')),
        migrations.AddIndex(model_name='leaderboardentry', index=models.Index(models.F('leaderboard'), models.OrderBy(models.F('key_high'), descending=True), condition=models.Q(('hidden', False), ('key_high__isnull', False)), name='entry_high')),
        migrations.AddIndex(model_name='leaderboardevent', index=models.Index(condition=models.Q(('is_frontier', True)), fields=['leaderboard', 'at'], name='event_frontier')),
        migrations.AddIndex(model_name='leaderboardevent', index=models.Index(fields=['leaderboard', 'participation', 'at'], name='event_of_team')),
        migrations.AddIndex(model_name='leaderboardevent', index=models.Index(condition=models.Q(('kind', 'withdrawn')), fields=['leaderboard', 'at'], name='event_withdrawn')),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
