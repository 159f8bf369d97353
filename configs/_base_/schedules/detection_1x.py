_base_ = ['mmdet::_base_/schedules/schedule_1x.py', '../detection_runtime.py']
