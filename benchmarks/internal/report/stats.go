// Package report makes tables, plots and files of what was measured.
package report

import (
	"math"
	"slices"
)

// Spread is what several rounds gave.
type Spread struct{ Median, Min, Max float64 }

// Of is the spread of values, of which those that are NaN do not count. If there are
// no others, so is the spread.
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

// Ratios divides the values of a system by those of the reference, round by round:
// what else the machine was doing in a round, it did to both. Rounds in which either
// is missing give NaN.
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
