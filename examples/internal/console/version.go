package console

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// VersionFlag defines the flag -version. [Parse] prints the version if it is given.
func VersionFlag(flags *flag.FlagSet) {
	flags.Bool("version", false, "print the version of the program and of Go, and end")
}

func versionAsked(flags *flag.FlagSet) bool {
	f := flags.Lookup("version")
	return f != nil && f.Value.String() == "true"
}

// version returns the program's name and version, Go's version, and the system. The version
// is the module's, with the commit if the module was not built from a release.
func version(program string) string {
	of, commit, changed := "(unknown)", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			of = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = ", changed"
			}
		}
	}
	if of == "(devel)" && commit != "" {
		of += " " + commit[:min(len(commit), 12)] + changed
	}
	return fmt.Sprintf("%s %s %s %s/%s", program, of, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
