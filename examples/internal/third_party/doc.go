// Package third_party keeps code of others, unchanged. Its folder _term has terminal.go and
// the licence of golang.org/x/term, see [Version]. The go command leaves folders with an
// underscore out of ./..., so no tool asks for changes there.
//
// The line editor is copied since the module's go.mod is to have two direct requirements
// only. A nested module for the examples would take them out of go test ./... and out of
// go run ./examples/ring.
package third_party

// Version is the version of golang.org/x/term that is copied.
const Version = "v0.48.0"
