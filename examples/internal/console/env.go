package console

import (
	"flag"
	"os"
	"regexp"
	"strings"
)

// prefix begins the names of variables that are settings.
const prefix = "RINGDHT_"

// envManual is the part of a manual about the environment. Its example is a flag of the program.
func envManual(flags *flag.FlagSet, manual string) string {
	example := ""
	flags.VisitAll(func(f *flag.Flag) {
		if example == "" || !strings.Contains(example, "-") && strings.Contains(f.Name, "-") {
			example = f.Name
		}
	})
	text := "A flag that is not given takes its value from the environment: -" + example + " from " + variable(example) + ", and so on. "
	if takesAddress(manual) {
		text += "The address is in " + prefix + "ADDR. "
	}
	return text + "An empty variable counts as unset."
}

// variable returns the name of the variable for a flag.
func variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environment gives flags that are not on the command line their values from the environment, and
// likewise the address if the program takes one. The error names the variable.
func environment(flags *flag.FlagSet, address bool) (err error) {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	flags.VisitAll(func(f *flag.Flag) {
		name := variable(f.Name)
		value := os.Getenv(name)
		if value == "" || given[f.Name] || f.Name == "version" || err != nil { // a program asked for its version does nothing else
			return
		}
		if wrong := flags.Set(f.Name, value); wrong != nil {
			err = Usagef("the variable %s: invalid value %q: %v", name, value, wrong)
		}
	})
	value := os.Getenv(prefix + "ADDR")
	if err != nil || !address || flags.NArg() > 0 || value == "" {
		return err
	}
	if looksLikeJoinLine(value) {
		return flags.Parse([]string{"--", value})
	}
	if _, err := Address(value, ""); err != nil {
		return Usagef("the variable %sADDR: %v", prefix, err)
	}
	return flags.Parse([]string{"--", value})
}

// takesAddress reports whether the usage line of a manual has an argument after the flags.
func takesAddress(manual string) bool {
	usage, _, _ := strings.Cut(strings.Trim(manual, "\n"), "\n")
	_, argument, _ := strings.Cut(usage, "[flags]")
	return strings.TrimSpace(argument) != ""
}

var flagName = regexp.MustCompile(`(?:^|\s)-([a-z][a-z-]*)`)

// variables names the variables that are set for the flags in an error's text. Values out of range
// are found after the parsing.
func variables(text string) (names string) {
	for _, m := range flagName.FindAllStringSubmatch(text, -1) {
		if name := variable(m[1]); os.Getenv(name) != "" {
			names += "; " + name + " is set"
		}
	}
	return names
}
