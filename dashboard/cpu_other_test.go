//go:build !linux

package dashboard

import "time"

func cpuTime() time.Duration    { return 0 }
func threadTime() time.Duration { return 0 }
func onThread(f func())         { f() }
