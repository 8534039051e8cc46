package report

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
)

// CSV writes a line for every round of every system.
func CSV(w io.Writer, sections []*Section) error {
	var metrics []string // of all sections
	for _, s := range sections {
		for _, m := range s.Metrics {
			if !slices.Contains(metrics, m.Name) {
				metrics = append(metrics, m.Name)
			}
		}
	}
	out := csv.NewWriter(w)
	out.Write(append([]string{"section", "row", "system", "reference", "round", "error"}, metrics...))
	for _, s := range sections {
		for _, row := range s.Rows {
			for _, series := range row.Series {
				for i, values := range series.Rounds {
					record := []string{s.Title, row.Name, series.System, row.Reference, strconv.Itoa(i + 1), ""}
					if err := series.Errs[i]; err != nil {
						record[5] = err.Error()
					}
					cells := make([]string, len(metrics))
					for j, v := range values {
						cells[slices.Index(metrics, s.Metrics[j].Name)] = strconv.FormatFloat(v, 'g', 6, 64)
					}
					out.Write(append(record, cells...))
				}
			}
		}
	}
	out.Flush()
	return out.Error()
}
