package report

import (
	"math"
	"slices"

	"github.com/x/ringdht/benchmarks/internal/load"
)

// Section is a table: rows of one kind.
type Section struct {
	Title   string
	Note    string // one or two sentences about the table
	X       string // the variable in which the rows of a group differ; "" without a plot
	Metrics []load.Metric
	Rows    []*Row
}

// Row is several systems under the same load.
type Row struct {
	Name      string
	Reference string    // the system with which the others are compared
	Group     string    // the rows of a group are in one plot
	X         float64   // at this place
	Series    []*Series // the reference first
}

// Series is the rounds of one system.
type Series struct {
	System string
	Style  int         // of its line in plots: the same in all of them
	Rounds [][]float64 // a value for each metric; nil if the round failed
	Errs   []error     // of each round
}

// Add adds a round.
func (s *Series) Add(values []float64, err error) {
	if err != nil {
		values = nil
	}
	s.Rounds, s.Errs = append(s.Rounds, values), append(s.Errs, err)
}

// Values returns the values of one metric, by round.
func (s *Series) Values(metric int) []float64 {
	v := make([]float64, len(s.Rounds))
	for i, r := range s.Rounds {
		v[i] = math.NaN()
		if r != nil {
			v[i] = r[metric]
		}
	}
	return v
}

func (r *Row) series(system string) *Series {
	for _, s := range r.Series {
		if s.System == system {
			return s
		}
	}
	return nil
}

// Ratio returns a system's ratio to the row's reference in one metric, or NaN if either was
// not measured.
func (r *Row) Ratio(system string, metric int) Spread {
	return r.Between(system, r.Reference, metric)
}

// Between returns a system's ratio to another in one metric, or NaN if either was not measured.
func (r *Row) Between(system, other string, metric int) Spread {
	a, b := r.series(system), r.series(other)
	if a == nil || b == nil {
		return Of(nil)
	}
	return Of(Ratios(a.Values(metric), b.Values(metric)))
}

// Of returns a system's spread in one metric, or NaN if it was not measured.
func (r *Row) Of(system string, metric int) Spread {
	s := r.series(system)
	if s == nil {
		return Of(nil)
	}
	return Of(s.Values(metric))
}

// Metric returns the place of a metric among those of the section, or -1.
func (s *Section) Metric(name string) int {
	return slices.IndexFunc(s.Metrics, func(m load.Metric) bool { return m.Name == name })
}
