_base_ = ['mmdet::_base_/schedules/schedule_20e.py', '../detection_runtime.py']
