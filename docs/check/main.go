// Command check renders every document of the repository and lists what is wrong with them:
// broken tables, links, anchors, images, code blocks and headings.
//
//	go run . [-html folder] [folder of the repository]
//
// With -html it writes the pages, to look at. It is a module of its own: ringdht itself does
// not need a renderer.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	pages := flag.String("html", "", "write the rendered pages to this `folder`")
	flag.Parse()
	top := "../.."
	if flag.NArg() > 0 {
		top = flag.Arg(0)
	}
	n, faults, err := check(top, *pages)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	for _, f := range faults {
		fmt.Println(f)
	}
	fmt.Printf("%d documents, %d faults\n", n, len(faults))
	if n == 0 || len(faults) > 0 {
		os.Exit(1)
	}
}
