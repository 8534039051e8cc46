//go:build !unix

package load

import "time"

// ProcessorTime is not available here.
func ProcessorTime() time.Duration { return 0 }
