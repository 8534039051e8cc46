// Package report makes tables, plots and files from the measurements.
package report

import (
	"math"
	"slices"
)

// Spread is the result of several rounds.
type Spread struct{ Median, Min, Max float64 }

// Of returns the spread of values, without NaNs. If all are NaN, so is the spread.
func Of(values []float64) Spread {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(v)
	median := v[len(v)/2]
	if len(v)%2 == 0 {
		median = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return Spread{median, v[0], v[len(v)-1]}
}

// Ratios divides a system's values by the reference's, round by round, since other load on
// the machine affects both in a round. A round with a missing value gives NaN.
func Ratios(values, reference []float64) []float64 {
	ratios := make([]float64, min(len(values), len(reference)))
	for i := range ratios {
		ratios[i] = values[i] / reference[i]
		if math.IsInf(ratios[i], 0) {
			ratios[i] = math.NaN()
		}
	}
	return ratios
}
