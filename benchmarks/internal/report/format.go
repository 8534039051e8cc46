package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/x/ringdht/benchmarks/internal/load"
)

// quantity formats a value with about three digits.
func quantity(v float64, u load.Unit) string {
	if math.IsNaN(v) {
		return "–"
	}
	switch u {
	case load.PerSecond:
		switch {
		case v >= 1e6:
			return digits(v/1e6) + " M"
		case v >= 1e3:
			return digits(v/1e3) + " k"
		}
		return digits(v)
	case load.Duration:
		switch {
		case v >= 1:
			return digits(v) + " s"
		case v >= 1e-3:
			return digits(v*1e3) + " ms"
		}
		return digits(v*1e6) + " µs"
	case load.Part:
		if v < 0.00005 {
			return "0"
		}
		return digits(v*100) + " %"
	}
	return digits(v)
}

func digits(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// cell formats a spread. It leaves out the range of a single value.
func cell(s Spread, u load.Unit) string {
	low, high := quantity(s.Min, u), quantity(s.Max, u)
	if low == high {
		return quantity(s.Median, u)
	}
	return fmt.Sprintf("%s (%s to %s)", quantity(s.Median, u), low, high)
}

// times is the pseudo-unit of ratios.
const times load.Unit = -1

// Brief formats the values of one round.
func Brief(metrics []load.Metric, values []float64) string {
	var parts []string
	for i, m := range metrics {
		parts = append(parts, m.Name+" "+quantity(values[i], m.Unit))
	}
	return strings.Join(parts, ", ")
}
