.PHONY: deps
deps: ## install what the tests need
	@go run ./deploy/up deps
