//go:build !unix

package ringdht

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
