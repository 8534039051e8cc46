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

// Header describes what was measured: where, when and how.
func Header(command string, rounds int) string {
	return fmt.Sprintf(`# Measured side by side

- machine: %d × %s, %s/%s
- kernel: %s
- Go: %s, GOMAXPROCS %d
- date: %s
- command: %s
- figures: medians of rounds (%d), in brackets minimum and maximum. In each round all systems of a row take their
  turn, and ratios are taken within rounds, to the first system of the row.
`,
		runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, kernel(),
		runtime.Version(), runtime.GOMAXPROCS(0), time.Now().UTC().Format("2006-01-02 15:04 MST"), "`"+command+"`", rounds)
}

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
