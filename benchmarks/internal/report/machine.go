package report

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// How says how something was measured.
type How struct {
	Command    string
	Rounds     int
	Warm, Load time.Duration // of each system in each round
	Took       time.Duration // all of it
}

// Header describes what was measured: where, when and how.
func Header(how How) string {
	return fmt.Sprintf(`# Measured side by side

- machine: %d × %s, %s/%s
- kernel: %s
- Go: %s, GOMAXPROCS %d
- date: %s, after %v
- command: %s
- rounds: %d; in each, all systems of a row take their turn, with %v of load after %v to warm up
`,
		runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, kernel(),
		runtime.Version(), runtime.GOMAXPROCS(0), time.Now().UTC().Format("2006-01-02 15:04 MST"), how.Took.Round(time.Second),
		"`"+how.Command+"`", how.Rounds, how.Load, how.Warm)
}

// Figures explains what [Markdown] writes.
const Figures = `- figures: medians of rounds, in brackets minimum and maximum. Ratios are taken within rounds, to the first system of the row.
  More messages a second are better; less of everything else is.
`

// processor returns the processor's model name, if it can be read.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "processor"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor"
}

func kernel() string {
	out, err := exec.Command("uname", "-sr").Output()
	if err != nil {
		return runtime.GOOS
	}
	return strings.TrimSpace(string(out))
}
