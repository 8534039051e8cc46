// Package browser tests the live page of package dashboard in a real browser, headless
// Chromium. It has tests only. It is a module of its own so that the root module does not
// depend on the browser driver.
//
//	apt-get install chromium fonts-dejavu-core nodejs npm
//	npm ci      # the HTML checker
//	go test .
//
// With -pictures dir the tests keep pictures of the page. With -cost 10 they measure, in ten
// pairs of rounds, what an open page costs a ring of 1,000 nodes; use an idle machine.
package browser
