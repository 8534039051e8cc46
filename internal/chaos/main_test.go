//go:build linux

package chaos

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/x/ringdht/internal/leaks"
)

var (
	flagTime   = flag.Duration("chaos.time", 8*time.Second, "how long the random mix lasts")
	flagSeed   = flag.Uint64("chaos.seed", 0, "seed of the random mix; 0 draws one")
	flagLease  = flag.Duration("chaos.lease", 3*time.Second, "how long a member may be silent")
	flagSecure = flag.Bool("chaos.secure", false, "all rings are secure ones")
	flagRoll   = flag.Duration("chaos.roll", 0, "how long each rolling restart goes on, in all variants; 0 is one round of some")
	flagReport = flag.String("chaos.report", "", "write the results to this `file`, too")
)

// patience is longer than any step takes that is not broken. It bounds waits and decides
// nothing.
const patience = 60 * time.Second

// TestMain is also the main function of the processes that the tests start.
func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		var t terms
		if err := json.Unmarshal([]byte(os.Getenv(envTerms)), &t); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		switch role {
		case "registry":
			runRegistry(t)
		case "node":
			runNode(t)
		case "instance":
			runInstance(t)
		case "client":
			runClient(t)
		case "keeper":
			runKeeper(t)
		case "caller":
			runCaller(t)
		}
		os.Exit(2)
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("4") // most of the time is spent waiting for leases to run out
	}
	code := leaks.Run(m)
	results.print()
	os.Exit(code)
}
