package table

import (
	"fmt"
	"time"
)

// Bytes formats a number of bytes: 999 B, 1.2 MB, 35 GB.
func Bytes(n int64) string {
	return scaled(float64(n), []string{" B", " kB", " MB", " GB", " TB", " PB"})
}

// Rate formats a rate per second: 0/s, 950/s, 4.9M/s.
func Rate(f float64) string { return scaled(f, []string{"/s", "k/s", "M/s", "G/s", "T/s"}) }

// scaled formats a number with at least two digits.
func scaled(f float64, units []string) string {
	i := 0
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if f < 9.95 && (i > 0 || f != float64(int64(f))) {
		return fmt.Sprintf("%.1f%s", f, units[i])
	}
	return fmt.Sprintf("%.0f%s", f, units[i])
}

// Span formats a duration: 0.3 s, 12 s, 5 min, 3 h, 9 days.
func Span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(0, d.Seconds()))
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// Short formats a short duration: 12 µs, 3.4 ms, 1.2 s.
func Short(d time.Duration) string {
	return scaled(float64(d.Microseconds())+float64(d%time.Microsecond)/1000, []string{" µs", " ms", " s"})
}
