# An alias of course.py: `make lab` = `python course.py lab`. See `make help`.
PYTHON ?= $(shell command -v python3 || command -v python)

.PHONY: help lab setup test update course lecture notebooks lint
help lab setup test update course notebooks lint:
	@$(PYTHON) course.py $@ $(ARGS)
lecture:
	@$(PYTHON) course.py lecture $(CH) $(ARGS)
