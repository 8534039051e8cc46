module github.com/x/ringdht/benchmarks

go 1.26

replace github.com/x/ringdht => ../
