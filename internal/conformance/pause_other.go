//go:build windows || plan9

package main

import "os"

// suspend does nothing: processes cannot be stopped here.
func suspend(*os.Process) bool { return false }

func resume(*os.Process) {}
