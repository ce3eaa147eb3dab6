/** A merged row (DESIGN 13) out of a sample. Pure: the same values give the same bits, live and on replay. */
import { jsonNumber, type Reduce } from '../record/index.ts'
import type { Row } from '../record/row.ts'
import type { Metric } from './core-model.ts'
import { quantiles, reduce, viewOf, type Sample, type Stats } from './core-reduce.ts'
import { expectedOf } from './core-views.ts'

/** Of a sample with one value per rank, in rank order. */
export function rowOf(
  metric: Metric, step: number, sample: Sample, view: Reduce, marks: Pick<Row, 'sealed' | 'amended'>,
): Row {
  const stats = reduce(sample)
  const value = viewOf(stats, view)
  const { family, name } = metric
  return {
    metric: name, step, value: value === null ? null : jsonNumber(value), count: stats.count,
    expected: expectedOf(family), ...figures(stats, sample), nan: stats.nan, inf: stats.inf,
    sealed: marks.sealed, amended: marks.amended,
  }
}

type Figures = Pick<
  Row, 'mean' | 'min' | 'max' | 'minRank' | 'maxRank' | 'std' | 'sum' | 'median' | 'p95' | 'last'
>

function figures(stats: Stats, sample: Sample): Figures {
  if (stats.count === 0) {
    return {
      mean: null, min: null, max: null, minRank: null, maxRank: null, std: null, sum: null, median: null,
      p95: null, last: null,
    }
  }
  const { median, p95 } = quantiles(sample, stats)
  const { mean, min, max, minRank, maxRank, std, sum, last } = stats
  return {
    mean: jsonNumber(mean), min, max, minRank, maxRank, std: jsonNumber(std), sum: jsonNumber(sum), median,
    p95, last,
  }
}
