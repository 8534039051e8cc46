// Command house measures the source tree: the root package's face, the longest files and
// functions, and the language of comments and documents. Its tests hold the tree to the
// bounds that CONTRIBUTING.md names.
//
//	go run ./internal/house [folder of the module]
package main

import (
	"fmt"
	"os"
)

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	t, err := read(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(1)
	}
	t.print(os.Stdout)
}
