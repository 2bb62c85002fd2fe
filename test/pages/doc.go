// Package pages looks at every page of the platform with a real browser and no cluster:
// axe-core must find nothing (WCAG 2.2 A and AA, and its best practices) in light and
// dark and in both languages, everything must be reachable with the keyboard in the order
// of the page, and nothing may stick out of a narrow screen.
//
// It needs what `make deps` installs; axe-core is fetched once, its hash is pinned.
package pages
